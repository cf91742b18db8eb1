"""The kit of a result: figures, tables, words and one page for readers of a paper.

Reads aggregates alone (result, curves, numbers, explanations): no table of patients, no torch.
"""
