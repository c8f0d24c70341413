"""Tables that come with the package; :func:`stackelberg.io.minneapolis` reads one of them."""
