"""Find the images of a patient or accession number (api.number_search)."""

from api.number_search import Numbers, NumberSearch, search_number

__all__ = ["NumberSearch", "Numbers", "search_number"]
