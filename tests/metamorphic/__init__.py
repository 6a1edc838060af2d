"""Write one picture in many ways, and check that the network gets the same input from each file.

Each cell of the matrix takes one level of each axis (`axes`). A cell becomes a DICOM file (`cells`), whose expected
inputs follow from the abstract picture by the formulas of PS3.3 and PS3.5 (`grey`, `colours`), never from the code
under test. `python -m tests.metamorphic --help` lists, writes and compares cells.
"""
