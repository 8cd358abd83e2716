"""A proxy before kube-apiserver that counts requests and can hold or cut one of them.

A controller under test is given the proxy's URL in its kubeconfig. Everything passes through, watches as a stream, tokens as they are
(client certificates end here, so the administrator goes past the proxy). `python -m testbed.kubeproxy` runs it; tests talk to it through
`testbed.kubeproxy.client.KubeProxyClient`.
"""
