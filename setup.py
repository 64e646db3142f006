from setuptools import setup

# The source directory of CMake is stated here and nowhere else.
setup(cmake_source_dir=".")
