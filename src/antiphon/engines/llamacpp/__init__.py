"""What the llama.cpp engine is made of: its child process, prompts, tool calls and the order of work."""
