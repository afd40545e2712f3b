"""The report of a case as a FHIR R4 document (4.0.1), built from its facts alone."""
