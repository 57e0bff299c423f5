"""Bytes <-> values of mainframe records, without I/O: code pages, numeric forms, copybooks and the records that they describe.

    items = copybook.parse(text)                 # what the copybook says
    shape = layout.lay_out(items)                # where everything is
    codec = record.compile_record(shape, "cp037")
    codec.decode(data) -> {"PAY-AMT": Decimal("12.50"), ...}        codec.encode(values) -> bytes

The rules are IBM Enterprise COBOL's for z/OS (Language Reference, "Data division"); what is not supported is refused with its line.
"""
