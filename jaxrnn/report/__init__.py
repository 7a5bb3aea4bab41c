"""The report: run folders as one page that needs nothing beside it.

`collect` reads what the runs left behind, `charts` draws learning curves that answer to the pointer, `page` puts
questions, answers, numbers and figures into the HTML file.
"""
