from tests.support.photos import exif, jpeg, png, webp  # noqa: F401 - fixtures
