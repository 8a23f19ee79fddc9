"""Processor time per event of the learner beside the engines a user would pick instead."""
