"""ETSI TS 103 120 for telecoms and platforms: orders as HI1 task objects, answers as updates and deliveries of them."""
