"""What of a plugin's output the API gives back: three limits, three ways to say that something is missing.

Source: amazon-ssm-agent, ``agent/framework/processor/executer/iohandler`` (TruncateOutput, MaximumPluginOutputSize,
DefaultOutputConfig) and ``agent/plugins/pluginutil`` (StringPrefix). The agent counts bytes.
"""

#: ListCommandInvocations with Details: stdout and stderr together, per plugin.
LIST_LIMIT = 2_500
#: GetCommandInvocation.
STDOUT_LIMIT = 24_000
STDERR_LIMIT = 8_000

_ERROR_TITLE = "\n----------ERROR-------\n"
_OUTPUT_CUT = "\n---Output truncated---"
_ERROR_CUT = "\n---Error truncated----"
_SUFFIX = "--output truncated--"


def merged(stdout: str, stderr: str, limit: int = LIST_LIMIT) -> str:
    """``Output`` of a plugin in ListCommandInvocations."""
    out, err = stdout.encode(), stderr.encode()
    title = _ERROR_TITLE if err else ""
    space = limit - len(title)
    if len(out) + len(err) < space:
        return stdout + title + stderr
    if len(out) > space // 2 and len(err) > space // 2:
        half = (space - len(_ERROR_CUT) - len(_OUTPUT_CUT)) // 2
        return _text(out[:half]) + _OUTPUT_CUT + title + _text(err[:half]) + _ERROR_CUT
    if len(out) <= space // 2:
        rest = space - len(_ERROR_CUT) - len(out)
        return stdout + title + _text(err[:rest]) + _ERROR_CUT
    rest = space - len(_OUTPUT_CUT) - len(err)
    return _text(out[:rest]) + _OUTPUT_CUT + title + stderr


def prefix(text: str, limit: int) -> str:
    """``StandardOutputContent`` or ``StandardErrorContent`` of GetCommandInvocation."""
    raw = text.encode()
    if len(raw) < limit:
        return text
    return _text(raw[: limit - len(_SUFFIX)]) + _SUFFIX


def _text(raw: bytes) -> str:
    """A character that the limit cut in two is left out."""
    return raw.decode(errors="ignore")
