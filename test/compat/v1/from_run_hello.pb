

safetycamera5f á!*frames