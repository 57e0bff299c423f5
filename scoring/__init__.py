"""Scores in process: features from one or several answers, guards before and after the model, a score with model and version.

    features.py   `sum(accounts.balance)` -> Expression -> a value over Facts; pure, also behind a join's response values
    card.py       card.json -> Card; a feature's value -> the number that the model was trained on, or an error that says why not
    model.py      Model.score(): card + ONNX graph -> Score
    store.py      a folder `name/version/` -> the models in it, by `name@version`
    errors.py     what can go wrong

Knows nothing of adapters, HTTP or the catalogue. onnxruntime is imported when the first row is scored, so that checking a catalogue
needs neither it nor its start-up time.
"""
