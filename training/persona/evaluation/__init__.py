"""Marks of a persona: does it keep its form, its speech level and its character?"""
