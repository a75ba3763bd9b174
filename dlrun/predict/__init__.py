"""What a trained run says of new data: images, rows of a table."""
