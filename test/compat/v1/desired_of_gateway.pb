
	gateway-1"
pi-100ff"
pi-211ee*2https://cloud:5443