"""Sequences that are written by hand with drawn details: what a random walk seldom meets."""
import kinds

LIST = []
