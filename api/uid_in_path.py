"""Define the path parameter type `uid`. UIDs may have slashes, because some headers ignore the standard."""

from starlette.convertors import PathConvertor, register_url_convertor


class UidConvertor(PathConvertor):
    """A text that does not end with a slash, so that `/v1/studies/` leads to the list of studies."""

    regex = ".*[^/]"


UID = "uid"
register_url_convertor(UID, UidConvertor())
