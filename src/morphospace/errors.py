"""What a user can do wrong, or a file can be, each with a message that says what, which, and what to do.

::

    MorphospaceError
    ├── ParameterError     a value or a key of params.yaml
    ├── InputError         a file or a table from outside: missing, truncated, of the wrong kind
    │   └── SchemaError    a table lacks a column, or its key is not unique
    ├── DiskError          the disk is full, read-only, or closed to this user
    ├── LeakError          a group stands on both sides of a split
    ├── EngineError        a segmentation engine is missing, or failed
    ├── RentalError        a machine cannot be rented, or was not given back
    ├── StorageError       the bucket, its keys, or the way there
    ├── SpendingError      the cap on what may be spent is reached
    └── TrainingError      the loss is no longer finite, or a checkpoint does not fit
        └── StoppedError   training was told to stop; the same command goes on

The command line turns them into one red line and exit code 1; anything else is a bug and keeps its traceback.
"""


class MorphospaceError(Exception):
    """Base of every mistake that a message can mend."""


class ParameterError(MorphospaceError):
    """A key or a value of ``params.yaml`` is refused."""


class InputError(MorphospaceError):
    """A file from outside cannot be used."""


class SchemaError(InputError):
    """A table lacks a column, or its key is not unique."""


class DiskError(MorphospaceError):
    """A file cannot be written: the disk is full, read-only, or closed to this user."""


class LeakError(MorphospaceError):
    """A group stands on both sides of a split."""


class EngineError(MorphospaceError):
    """A segmentation engine is missing or failed."""


class RentalError(MorphospaceError):
    """A machine cannot be rented, or was not given back."""


class SpendingError(MorphospaceError):
    """The cap on what may be spent is reached."""


class StorageError(MorphospaceError):
    """The bucket of the data, its keys, or the way there cannot be used."""


class TrainingError(MorphospaceError):
    """Training cannot go on."""


class StoppedError(TrainingError):
    """Training was told to stop; the same command goes on from its checkpoint."""
