"""Find the images of a patient or accession number (api.number_search)."""

from api.number_search import Numbers, NumberSearch, accession_keys, images_of_number, search_number

__all__ = ["NumberSearch", "Numbers", "accession_keys", "images_of_number", "search_number"]
