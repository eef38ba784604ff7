"""The search for parameters: the space, the study that workers share, one DVC experiment a trial."""
