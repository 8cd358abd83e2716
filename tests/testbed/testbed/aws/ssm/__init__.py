"""The bed's Systems Manager: documents, managed nodes and commands, as AWS and its agent behave.

``register`` mounts it in LocalStack; ``nodes.TABLE`` holds the simulated machines; ``settings.EVENTUAL`` the delays;
``authorization.resources_for`` says what a request touches; ``reset`` forgets everything.
"""


def register() -> None:
    """Makes the bed's provider the one for ``ssm``. Call it before LocalStack starts."""
    from . import provider

    provider.register()


def reset() -> None:
    """Forgets documents, commands, nodes and parameters."""
    from . import provider

    provider.reset()
