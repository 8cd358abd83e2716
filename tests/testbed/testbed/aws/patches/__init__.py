"""Where LocalStack's core differs from AWS, or from what a bed on one machine needs: one module for each thing that is mended.

Each module's `apply()` says what it changes and where the right behaviour is documented. All must run before LocalStack's runtime is
made, and none twice.
"""


def apply() -> None:
    """Applies every patch."""
    from testbed.aws.patches import (
        assignments,
        children,
        definitions,
        errors,
        executions,
        jsonata,
        jsonpath,
        listeners,
        machines,
        mapfields,
        mapruns,
        matching,
        nested,
        quotas,
        requests,
        results,
        roles,
        schedules,
        sessions,
        simulator,
        startup,
        stopping,
        tokens,
        virtualtime,
    )

    startup.apply()
    listeners.apply()
    jsonata.apply()
    definitions.apply()
    errors.apply()
    results.apply()
    machines.apply()
    executions.apply()
    stopping.apply()
    tokens.apply()
    assignments.apply()
    matching.apply()
    jsonpath.apply()
    children.apply()
    mapruns.apply()
    mapfields.apply()
    roles.apply()
    nested.apply()
    quotas.apply()
    requests.apply()
    # After them: it changes what the modules that are loaded by now call `time`, `datetime` and `threading`.
    virtualtime.apply()
    sessions.apply()
    schedules.apply()
    simulator.apply()
