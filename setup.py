"""Hands the build to CMake; its source directory is stated here and nowhere else."""

from setuptools import setup

setup(cmake_source_dir=".")
