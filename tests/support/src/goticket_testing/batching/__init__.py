"""Models of batched requests, run over every use of `goticket_platform.batching`."""
