
c2
safetycamera(ˆ'