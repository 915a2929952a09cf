from xqe.cli import main

main()
