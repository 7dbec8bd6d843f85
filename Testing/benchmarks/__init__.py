"""ThoraxAI against named rivals, both measured in the same run on the same input."""
