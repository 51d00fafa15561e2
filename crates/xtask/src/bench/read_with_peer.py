"""Read every value of every record of one table with an independent reader; print the number of records.

usage: read_with_peer.py dissect|libesedb FILE TABLE
"""
import sys


def dissect(path, name):
    from dissect.esedb import EseDB

    rows = 0
    with open(path, "rb") as file:
        table = EseDB(file).table(name)
        columns = table.column_names
        for record in table.records():
            for column in columns:
                record.get(column)
            rows += 1
    return rows


def libesedb(path, name):
    import pyesedb

    file = pyesedb.file()
    file.open(path)
    table = file.get_table_by_name(name)
    rows = table.get_number_of_records()
    for index in range(rows):
        record = table.get_record(index)
        for column in range(record.get_number_of_values()):
            record.get_value_data(column)
    file.close()
    return rows


print({"dissect": dissect, "libesedb": libesedb}[sys.argv[1]](sys.argv[2], sys.argv[3]))
