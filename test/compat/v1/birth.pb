
pi-101HZZZZZZZZZZZZZZZZZZZZBOOT"0.1.0(€€¼§¦÷Ï¤2€
arm64
Cortex-A76 €€€€ *Debian GNU/Linux 12 (bookworm)26.6.31:pi-1@HPZonnxruntime 1.23.2Ztflite 2.20.0byardhp€ßÀJ:
hardwarepi@