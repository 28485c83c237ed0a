"""Tests of the package: on recorded directories, on programs that pretend, and on the program itself."""
