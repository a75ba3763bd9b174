"""What a sweep has found: reads run directories, and neither trains nor imports what does."""
