"""The order as a letter: a PDF in the form of Decree 30/2020/NĐ-CP, sealed (PAdES), that machines can read as well."""
