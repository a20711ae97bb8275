"""The golden cases, one file for each kind, and what they share.

`case.py`: a case folder, its random numbers, files and tolerances. `models.py`: random GPT-2s of transformers and
adapters of PEFT. `training.py`: PyTorch's training loop. `texts.py`: the tokenizer's strings. `exact_*.py`: the
same mathematics once more in float64, written to be read next to the papers.
"""
