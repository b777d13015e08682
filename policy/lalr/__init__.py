"""Runs the grammars of this package on parse tables that Lark has made ahead of time.

Importing Lark takes several times as long as checking a small policy. So Lark analyses the
grammars when they change (`python -m policy.lalr.generate`), its tables are kept as data, and the
engine here walks them. Tests prove that the tables are current and that this engine and Lark's own
agree.
"""
