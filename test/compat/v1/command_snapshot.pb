
c3"
safetycamera(ˆ'