"""What people run beside the pipeline, a folder each; an app imports the core, and never another app."""
