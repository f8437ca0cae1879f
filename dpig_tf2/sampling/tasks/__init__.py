"""What writes files: one module for each verb."""
