"""Archives of a hospital, by DICOMweb and by DIMSE: addresses, credentials, sessions and associations.

Nothing here knows a store or a case. Errors of libraries are told as cvtbatch's own, whose message names neither a server nor
a patient: the server stands in the private text. What is asked for or sent is never logged, by the libraries beneath neither.
"""
