"""Development tools: new services, import contracts and generated documents."""
