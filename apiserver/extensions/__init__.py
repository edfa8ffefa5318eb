"""Resources that are not built in: custom ones, which become catalog rows, and those of aggregated API servers.

CustomResourceDefinition ─▶ naming.py (are the names free?) ─▶ custom_resources.py ─▶ rows of the catalog
                                                               json_path.py, conversion.py help
APIService               ─▶ aggregation.py ─▶ requests are passed on
"""
