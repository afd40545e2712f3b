from dermis.standalone.cli import main

if __name__ == "__main__":
    main()
