"""What `import cvtbatch` adds for scripts and notebooks to the rooms below: functions of paths, images and tables."""
