"""SQL migrations of the schema `notification`. Its deliveries are its inbox."""
