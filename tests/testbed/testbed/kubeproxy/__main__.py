"""`python -m testbed.kubeproxy`: runs the proxy until SIGTERM."""

import argparse
import asyncio
import ssl
from urllib.parse import urlsplit

import h11

from testbed.kubeproxy import control
from testbed.kubeproxy.forward import Session, Upstream
from testbed.kubeproxy.rules import Ledger
from testbed.kubeproxy.wire import Peer


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m testbed.kubeproxy", description="A counting, holding, cutting proxy before kube-apiserver.")
    parser.add_argument("--port", type=int, required=True, help="where clients connect (TLS)")
    parser.add_argument("--control-port", type=int, required=True, help="where tests connect (plain HTTP)")
    parser.add_argument("--upstream", required=True, help="URL of kube-apiserver")
    parser.add_argument("--ca", required=True, help="certificate authority of kube-apiserver")
    parser.add_argument("--certificate", required=True, help="the proxy's own certificate")
    parser.add_argument("--key", required=True, help="its key")
    return parser.parse_args()


async def run(options: argparse.Namespace) -> None:
    """Serves both ports for ever."""
    url = urlsplit(options.upstream)
    upstream = Upstream(url.hostname or "", url.port or 443, ssl.create_default_context(cafile=options.ca))
    listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listening.load_cert_chain(options.certificate, options.key)
    listening.set_alpn_protocols(["http/1.1"])
    ledger = Ledger()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Session(Peer(reader, writer, h11.Connection(h11.SERVER)), upstream, ledger).run()

    async def tester(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await control.serve(Peer(reader, writer, h11.Connection(h11.SERVER)), ledger)

    async with (
        await asyncio.start_server(client, "127.0.0.1", options.port, ssl=listening, backlog=512) as proxy,
        await asyncio.start_server(tester, "127.0.0.1", options.control_port) as endpoint,
    ):
        await asyncio.gather(proxy.serve_forever(), endpoint.serve_forever())


if __name__ == "__main__":
    asyncio.run(run(arguments()))
