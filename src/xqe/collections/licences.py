"""Under what licence texts stand that are not built here, as it is said of their collections before and after."""

CLIRMATRIX = "texts of Wikipedia, CC BY-SA 3.0"
MIRACL = "Apache-2.0; passages of Wikipedia, CC BY-SA 3.0"
MMARCO = "mMARCO: Apache-2.0; of the texts it translates, MS MARCO, for non-commercial research only"
MSMARCO = "MS MARCO: for non-commercial research only; no licence is granted to the texts themselves"
