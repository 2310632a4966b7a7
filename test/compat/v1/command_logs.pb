
c1
safetycamera2(ˆ'