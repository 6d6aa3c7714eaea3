"""What a training minimises, and how: losses, optimizers, schedules. A recipe names them; a training uses them."""
