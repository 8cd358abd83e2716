"""The bed's Systems Manager, as AWS and its agent behave, and the tags of its resources (``tagging``).

``register`` mounts it in LocalStack; ``nodes.TABLE`` holds the simulated machines; ``settings.EVENTUAL`` the delays;
``authorization.resources_for`` says what a request touches; ``reset`` forgets everything.
"""


def register() -> None:
    """Makes the bed's provider the one for ``ssm``. Call it before LocalStack starts."""
    from . import provider, tagging

    provider.register()
    tagging.register()


def reset() -> None:
    """Forgets documents, commands, nodes and parameters."""
    from . import provider

    provider.reset()
