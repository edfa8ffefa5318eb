"""The loops that need a cloud behind them.

    Nodes     ──▶ controllers/node.py, node_lifecycle.py ──┐
    Services  ──▶ controllers/service.py                   ├──▶ provider.py ◀── providers/local.py
    Nodes     ──▶ controllers/route.py                   ──┘    the interface     one machine as a cloud

Controllers know only the interface; a provider knows nothing of controllers.
"""
