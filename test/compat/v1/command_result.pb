
c1there is no such serviceline 1
line 2
"ÿØÿÙ